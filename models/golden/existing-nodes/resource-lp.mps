NAME        resource-lp
ROWS
 N  Obj     
 L  shape_0 
 L  shape_1 
 L  shape_2 
 L  shape_3 
COLUMNS
    p_0_0     Obj       -0.106918238993711
    p_0_0     shape_0   0.119496855345912
    p_0_0     shape_1   0.245283018867925
    p_0_0     shape_2   0.245283018867925
    p_0_0     shape_3   1
    p_0_1     Obj       -0.0426470588235294
    p_0_1     shape_0   0.0588235294117647
    p_0_1     shape_1   0.12156862745098
    p_0_1     shape_2   0.498039215686275
    p_0_1     shape_3   1
    p_0_2     Obj       0.816666666666667
    p_0_2     shape_0   0.666666666666667
    p_0_2     shape_1   0.666666666666667
    p_0_2     shape_2   0.666666666666667
    p_0_2     shape_3   0.666666666666667
RHS
    RHS_V     shape_0   0.085
    RHS_V     shape_1   0.17
    RHS_V     shape_2   0.252
    RHS_V     shape_3   0.768
BOUNDS
 UP BOUND     p_0_0     10000
 UP BOUND     p_0_1     10000
 UP BOUND     p_0_2     10000
ENDATA
