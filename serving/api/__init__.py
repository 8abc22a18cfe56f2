"""The scores over HTTP: what a program may ask, what a person may look at, and who may."""
