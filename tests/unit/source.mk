# unit tests of source
