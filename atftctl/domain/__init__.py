"""The data types of the domain, such as snapshot, plan and runbook. Nothing here touches the machine."""
