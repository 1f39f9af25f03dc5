"""`scope completion bash|zsh|fish`: scripts that complete commands, options and files.

They are made from the commands themselves, so they cannot miss an option.
"""

from __future__ import annotations

import argparse
import sys

from retroscope.cli.main import COMMANDS
from retroscope.cli.messages import OK

RECORD_OPTIONS = ["--chaos", "--help", "--quiet", "--redact", "--trace", "--until-failure", "-c", "-m", "-o", "-q"]

BASH = """\
# bash completion for scope; in ~/.bashrc: eval "$(scope completion bash)"
_scope() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" options=""
    if (( COMP_CWORD == 1 )); then
        COMPREPLY=( $(compgen -W "{commands} --help --version" -- "$word") )
        return
    fi
    case "${{COMP_WORDS[1]}}" in
{cases}
    esac
    if [[ $word == -* ]]; then
        COMPREPLY=( $(compgen -W "$options" -- "$word") )
    elif [[ ${{COMP_WORDS[1]}} == completion ]]; then
        COMPREPLY=( $(compgen -W "bash zsh fish" -- "$word") )
    else
        compopt -o filenames 2>/dev/null
        COMPREPLY=( $(compgen -f -- "$word") )
    fi
}}
complete -F _scope scope
"""

ZSH = """\
#compdef scope
# zsh completion for scope; in ~/.zshrc: eval "$(scope completion zsh)"
_scope() {{
    local -a commands options
    commands=(
{descriptions}
    )
    if (( CURRENT == 2 )); then
        _describe 'command' commands
        return
    fi
    case "$words[2]" in
{cases}
        completion) compadd bash zsh fish; return ;;
    esac
    if [[ $PREFIX == -* ]]; then
        compadd -- $options
    else
        _files
    fi
}}
compdef _scope scope
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=["bash", "fish", "zsh"], help="the shell that will read the script")


def run(args: argparse.Namespace) -> int:
    make = {"bash": bash, "zsh": zsh, "fish": fish}[args.shell]
    sys.stdout.write(make(command_options()))
    return OK


def command_options() -> dict[str, list[str]]:
    """Every command's options, asked of the command itself."""
    found = {}
    for command in COMMANDS:
        if command == "record":
            found[command] = RECORD_OPTIONS
            continue
        module = __import__(f"retroscope.cli.{command}", fromlist=["add_arguments"])
        parser = argparse.ArgumentParser()
        module.add_arguments(parser)
        found[command] = sorted(option for action in parser._actions for option in action.option_strings)
    return found


def bash(options: dict[str, list[str]]) -> str:
    cases = "\n".join(f'        {command}) options="{" ".join(words)}" ;;' for command, words in options.items())
    return BASH.format(commands=" ".join(options), cases=cases)


def zsh(options: dict[str, list[str]]) -> str:
    others = [(command, words) for command, words in options.items() if command != "completion"]
    cases = "\n".join(f"        {command}) options=({' '.join(words)}) ;;" for command, words in others)
    descriptions = "\n".join(f"        '{command}:{COMMANDS[command].summary}'" for command in options)
    return ZSH.format(descriptions=descriptions, cases=cases)


def fish(options: dict[str, list[str]]) -> str:
    lines = ["# fish completion for scope; save as ~/.config/fish/completions/scope.fish"]
    for command, words in options.items():
        about = COMMANDS[command].summary
        lines.append(f"complete -c scope -n __fish_use_subcommand -f -a {command} -d '{about}'")
        for word in words:
            kind = f"-l {word[2:]}" if word.startswith("--") else f"-s {word[1:]}"
            lines.append(f"complete -c scope -n '__fish_seen_subcommand_from {command}' {kind}")
    lines.append("complete -c scope -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh fish'")
    return "\n".join(lines) + "\n"
