"""Feature extractors for audio.

`selection` chooses the feature space of clips; `logmel` and `vggish/` are extractors; `mel` is their filter bank.
"""
