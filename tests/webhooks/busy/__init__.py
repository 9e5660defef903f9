"""A project's app whose handlers fail at random and sometimes kill their process."""
