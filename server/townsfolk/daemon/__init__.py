"""The daemon: gRPC services around the dialogue, and the life of the server."""
