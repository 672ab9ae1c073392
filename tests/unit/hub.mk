# unit tests of hub
