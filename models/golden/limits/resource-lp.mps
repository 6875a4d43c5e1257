NAME        resource-lp
ROWS
 N  Obj     
 L  shape_0 
 L  shape_1 
 L  shape_2 
 L  shape_3 
 L  shape_4 
 L  shape_5 
 L  shape_6 
 L  shape_7 
COLUMNS
    p_0_0     Obj       -0.685534591194969
    p_0_0     shape_0   0.119496855345912
    p_0_0     shape_1   0.245283018867925
    p_0_0     shape_2   0.119496855345912
    p_0_0     shape_3   0.245283018867925
    p_0_0     shape_4   0.245283018867925
    p_0_0     shape_5   0.245283018867925
    p_0_0     shape_6   1
    p_0_0     shape_7   1
    p_0_1     Obj       -0.580392156862745
    p_0_1     shape_0   0.0588235294117647
    p_0_1     shape_1   0.12156862745098
    p_0_1     shape_2   0.0588235294117647
    p_0_1     shape_3   0.498039215686275
    p_0_1     shape_4   0.12156862745098
    p_0_1     shape_5   0.498039215686275
    p_0_1     shape_6   1
    p_0_1     shape_7   1
    p_0_2     Obj       -0.325
    p_0_2     shape_0   1
    p_0_2     shape_1   1
    p_0_2     shape_2   1
    p_0_2     shape_3   1
    p_0_2     shape_4   1
    p_0_2     shape_5   1
    p_0_2     shape_6   1
    p_0_2     shape_7   1
    q_0       Obj       1
    q_0       shape_0   -0.1
    q_0       shape_1   -0.2
    q_0       shape_3   -0.2
    q_0       shape_6   -0.8
    q_1       Obj       1
    q_1       shape_0   -0.333333333333333
    q_1       shape_1   -0.333333333333333
    q_1       shape_3   -0.333333333333333
    q_1       shape_6   -0.333333333333333
    q_2       Obj       1
    q_2       shape_2   -0.0566666666666667
    q_2       shape_4   -0.113333333333333
    q_2       shape_5   -0.168
    q_2       shape_7   -0.512
RHS
    RHS_V     shape_0   0.031
    RHS_V     shape_1   0.066
    RHS_V     shape_2   0.085
    RHS_V     shape_3   0.1
    RHS_V     shape_4   0.17
    RHS_V     shape_5   0.252
    RHS_V     shape_6   0.28
    RHS_V     shape_7   0.768
BOUNDS
 UP BOUND     p_0_0     10000
 UP BOUND     p_0_1     10000
 UP BOUND     p_0_2     10000
 UP BOUND     q_0       1000000
 UP BOUND     q_1       1000000
 UP BOUND     q_2       1000000
ENDATA
