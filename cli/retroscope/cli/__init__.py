"""The `scope` command.

In: a command line, and commands typed at the prompt. Out: text, an exit status, and one helpful sentence when
something is wrong. It must never show a traceback of ours unless SCOPE_DEBUG=1, and never hold replay logic.
"""
