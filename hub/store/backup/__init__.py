"""Backups: all keys of a store as typed values in a file, at one moment, and back into a store.

`scope` states which keys are left out, `values` reads and writes keys of each type, `tracking` learns which keys are
written meanwhile, `snapshot` reads all keys as they are at one moment, `backup_file` is the file, and `restoration`
writes rows into a store. Values are typed, because the payloads of DUMP are bound to the version of the server.
"""
