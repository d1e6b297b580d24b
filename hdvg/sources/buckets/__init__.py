"""Object stores as sources: links such as `s3://bucket/key.mp4`, and their folders. The process that has the user's credentials
signs the address of one object for a limited time; the guarded child fetches from that address as from any other."""
