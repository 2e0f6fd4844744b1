"""Every figure of the study, one function each, and the widgets."""
