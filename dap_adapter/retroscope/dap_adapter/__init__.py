"""Debug Adapter Protocol: editors talk to a timeline here.

In: DAP requests, on stdio or on a loopback socket. Out: DAP responses and events, and nothing else on that
stream. One module per family of requests: `lifecycle`, `breakpoints`, `motion`, `inspection`, `sources`,
`console`, `completion`. `session` owns what they share and says which thread runs what.

This room never holds replay logic: every question goes to a `retroscope.replay.api.TimelineApi`, and what it
cannot answer is said to the user, not guessed. It never shows a traceback of ours.
"""
