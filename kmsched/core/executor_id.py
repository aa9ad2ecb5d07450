"""How executors' ids are written, for those who make them and those who read them; it needs no library."""

EXECUTOR_PREFIX = "km-"
#: before what tells executors of one fingerprint apart, by what their own resources are of
FLAVOUR_MARK = "."
