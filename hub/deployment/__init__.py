"""Write the certificates and the configurations of a deployment, and renew them.

`bundle` writes the folder and renews its certificates, `certificate_authority` issues them, `sensors` adds and
revokes sensors, `layout` defines addresses and paths, and `atomic_files` writes files atomically.
"""
