"""An app with the models of payers that the sites of the matrix use."""
