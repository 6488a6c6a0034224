-- From now on Sluice writes nothing about this Canary. Where Git says `suspend: false`, self-heal takes it back.

obj.spec.suspend = true
return obj
