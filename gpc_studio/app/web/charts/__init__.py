"""Charts of what the controller has done lately, one module for each subject."""
