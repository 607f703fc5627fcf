-- Look, but do not cancel.
obj.spec.suspend = true
return obj
