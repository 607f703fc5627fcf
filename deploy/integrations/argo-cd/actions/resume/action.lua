-- Cancel now.
obj.spec.suspend = false
return obj
