"""The only place that opens media; all of it is called through the airlock and returns JSON-able values."""
