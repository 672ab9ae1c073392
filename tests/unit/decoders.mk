# unit tests of decoders
