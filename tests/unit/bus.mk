# unit tests of bus
