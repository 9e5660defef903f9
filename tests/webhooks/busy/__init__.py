"""A project's app whose handlers fail at random, and take their process with them now and then."""
