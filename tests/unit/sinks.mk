# unit tests of sinks
