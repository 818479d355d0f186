"""What a deployment is made of: certificates, and the configurations of every server."""
