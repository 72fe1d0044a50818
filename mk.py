import json
reader=lambda n:{"train":"reader","steps":n,"warmup_steps":2,"lanes":2,"pixels_per_lane":80000,"frames":[9],"width":8,"evaluation_clips":3,"log_steps":1,"checkpoint_minutes":0}
vae={"train":"vae","steps":2,"warmup_steps":1,"lanes":2,"pixels_per_lane":6000,"evaluation_clips":1,"evaluation_frames":9,"log_steps":1,"clips":[{"width":32,"height":32,"frames":5,"crop":True}]}
den={"train":"denoiser","steps":2}
base=lambda st,**k:dict({"architecture":"/work/main/models/world-64","world":2,"sizes":[[64,64],[80,48]],"seed":3,"stages":st},**k)
c={"r30":base([reader(12)]),"both":base([vae,reader(2)],cuts_share=.5),
"x1":base([reader(2)],world=1),"x2":base([reader(2)],sizes=[[100,64]]),"x3":base([vae],emphasis={"spinning":2}),
"x4":base([vae],world=1,cuts_share=.5),"x5":base([den],cuts_share=.5),"x6":base([dict(den,adherence_prompts=3)]),"x7":base([dict(den,helper_weight=.1)])}
for k,v in c.items(): json.dump(v,open(k+'.json','w'))
