"""The rules of the constructors that lldtool knows; `tracing` finds each module here by listing.

A module's `TRACES` is a dict: class of a constructor, by its full name -> its tracer.
"""
