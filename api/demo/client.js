function t(e){return e instanceof Error&&e.name==="ApiError"}var r=["connected","notification","read","deleted","heartbeat","reset","closing"];export{r as EVENT_NAMES,t as isApiError};
