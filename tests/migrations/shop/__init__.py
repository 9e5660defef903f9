"""An app of a project whose model and migration depend on ours."""
