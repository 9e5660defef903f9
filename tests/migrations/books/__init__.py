"""An app of a project whose tables refer to the ids of events."""
