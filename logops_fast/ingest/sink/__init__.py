"""The sink: where the lines of a batch become durable, in groups, before the batch is answered."""
