-- Sluice writes again, the weights that it last decided first. Where Git says `suspend: true`, self-heal takes it back.

obj.spec.suspend = false
return obj
