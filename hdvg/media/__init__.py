"""The only place that opens media; all of it is called through the sandbox and returns JSON-able values."""
