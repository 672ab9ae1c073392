# unit tests of lag
