"""Evidence reports: the levels, alerts and gaps of a place and period as a signed archive.

`coverage`, `causes`, `sequences`, `contents` and `tables` are pure. `reader` reads the stores, `pdf` draws,
`archive` and `signing` write and read files, `verification` checks an archive, and `report` joins them.
"""
