"""The Debug Adapter Protocol, spoken to editors over stdio or a loopback port.

In: requests of the protocol. Out: its responses and events, computed by a `Timeline`. It must never hold replay logic
of its own, and never answer with something that the timeline did not say.
"""
