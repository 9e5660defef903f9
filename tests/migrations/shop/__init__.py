"""An app of a project, with a model and a migration that need ours."""
