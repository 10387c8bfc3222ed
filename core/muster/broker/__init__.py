"""The broker: the event log, commands, heartbeats and log lines, on NATS JetStream or in memory."""
