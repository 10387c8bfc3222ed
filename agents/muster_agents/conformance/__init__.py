"""Whether an image keeps the protocol of functions: the rules of docs/function-protocol.md, tried on a container."""
