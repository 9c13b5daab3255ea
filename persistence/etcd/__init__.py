"""The part of a cluster's log that several servers write, in etcd."""
