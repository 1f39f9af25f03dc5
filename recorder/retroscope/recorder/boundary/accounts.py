"""Users, groups and the system log."""

from retroscope.recorder.boundary.declare import Module

MODULES = [Module("pwd"), Module("grp"), Module("spwd"), Module("syslog"), Module("_crypt")]
