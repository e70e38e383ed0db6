"""Videos in, WebDataset shards out: sources, crops, landmarks and cameras, masks, shards."""
