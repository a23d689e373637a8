"""What a run tells: events, metrics, heartbeat, dashboards."""
