"""The server of `hdvg explore`: a dataset to look through in a browser on this machine; see docs/explore-protocol.md."""
