# unit tests of schemas
