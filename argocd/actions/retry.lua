-- Orders by annotation, for the revision that is rejected now: should another one take its place, nothing happens.
-- The time behind the name makes it a new order each time.

local os = require("os")
local status = obj.status or {}
if status.phase ~= "Failed" or status.candidate == nil then
  error("no revision was rejected: there is nothing to retry")
end

local annotations = obj.metadata.annotations or {}
annotations["sluice.dev/retry"] = status.candidate .. "#" .. os.date("!%Y-%m-%dT%H:%M:%SZ")
obj.metadata.annotations = annotations
return obj
