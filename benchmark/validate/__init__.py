"""Is a scan what its description says? Numbers, and projections under every usual mistake of geometry."""
