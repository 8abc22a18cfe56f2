"""Where behaviour features are computed: on this machine, or by Apache Spark with the same kernel."""
