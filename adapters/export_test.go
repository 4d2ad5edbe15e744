package adapters

// ScanEnvelope is the short way of ReadEnvelope.
var ScanEnvelope = scanEnvelope
