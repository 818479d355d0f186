"""`earwitness-hub demo`: the whole system on one machine, with weeks of history, and nothing to install first.

`neighbourhood` says what sounds when; `takes` renders and embeds each scene once; `history` puts the clips through
the hub's pipeline; `children` starts and ends the programs; `terminal` says what is printed; `system`
starts servers and hub; `run` puts it all together; `command` is the command line.
"""
