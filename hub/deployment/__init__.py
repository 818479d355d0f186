"""Write the certificates and the configurations of a deployment, and renew them.

`bundle` writes the folder and renews its certificates; `certificate_authority` makes them; `sensors` adds sensors and
revokes them; `layout` says where servers and files are; `atomic_files` writes a file whole or not at all.
"""
