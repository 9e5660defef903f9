"""An app of a site: what its customers pay for, with each kind of primary key."""
